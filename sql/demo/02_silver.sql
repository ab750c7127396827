-- Silver: cleaned rows under constraints. What does not fit is refused with the name of the constraint.
CREATE SCHEMA silver;

CREATE TABLE silver.penguins (
  species text NOT NULL,
  sample_number integer NOT NULL,
  island text NOT NULL,
  seen date NOT NULL,
  culmen_length_mm double precision,
  culmen_depth_mm double precision,
  flipper_length_mm double precision,
  body_mass_g double precision,
  sex text,
  CONSTRAINT known_species CHECK (species IN ('Adelie', 'Chinstrap', 'Gentoo')),
  CONSTRAINT plausible_mass CHECK (body_mass_g BETWEEN 1000 AND 10000)
);

INSERT INTO silver.penguins
SELECT split_part(species, ' ', 1), sample_number, island, date_egg,
       culmen_length_mm, culmen_depth_mm, flipper_length_mm, body_mass_g, sex
FROM bronze.penguins;

-- A correction arrives late: the sex of one Gentoo was written down as a dot.
CREATE TABLE bronze.corrections (species text, sample_number integer, sex text);

INSERT INTO bronze.corrections VALUES ('Gentoo', 117, '.');

MERGE INTO silver.penguins AS p
USING bronze.corrections AS c
ON p.species = c.species AND p.sample_number = c.sample_number
WHEN MATCHED THEN UPDATE SET sex = c.sex;

SELECT species, sample_number, island, culmen_length_mm, body_mass_g, sex
FROM silver.penguins
WHERE species = 'Gentoo' AND sample_number BETWEEN 116 AND 118
ORDER BY sample_number;
