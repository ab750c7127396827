-- Bronze: the file as it came. Only the names change, since spaces and parentheses are no names for a column.
CREATE SCHEMA bronze;

CREATE TABLE bronze.penguins AS
SELECT "studyName" AS study_name,
       "Sample Number" AS sample_number,
       "Species" AS species,
       "Region" AS region,
       "Island" AS island,
       "Stage" AS stage,
       "Individual ID" AS individual_id,
       "Clutch Completion" AS clutch_completion,
       "Date Egg" AS date_egg,
       "Culmen Length (mm)" AS culmen_length_mm,
       "Culmen Depth (mm)" AS culmen_depth_mm,
       "Flipper Length (mm)" AS flipper_length_mm,
       "Body Mass (g)" AS body_mass_g,
       "Sex" AS sex,
       "Comments" AS comments
FROM read_csv('penguins_raw.csv', header => true, delim => ',', nullstr => 'NA');

SELECT species, count(*) AS penguins, count(body_mass_g) AS weighed, count(sex) AS sexed
FROM bronze.penguins
GROUP BY species
ORDER BY species;

DESCRIBE bronze.penguins;
