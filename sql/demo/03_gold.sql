-- Gold: what people ask for, by aggregation.
CREATE SCHEMA gold;

CREATE TABLE gold.islands AS
SELECT island, species, count(*) AS penguins,
       round(avg(body_mass_g)) AS mean_mass_g,
       round(avg(flipper_length_mm), 1) AS mean_flipper_mm
FROM silver.penguins
GROUP BY island, species;

SELECT * FROM gold.islands ORDER BY island, species;

-- Each island's heaviest penguins, by rank.
SELECT island, species, body_mass_g, place
FROM (
  SELECT island, species, body_mass_g,
         row_number() OVER (PARTITION BY island ORDER BY body_mass_g DESC NULLS LAST, sample_number, species) AS place
  FROM silver.penguins
) AS ranked
WHERE place <= 2
ORDER BY island, place;
