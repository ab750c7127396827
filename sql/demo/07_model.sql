-- A linear model of body mass. Its numbers are the published ones of a well-known tutorial on the same data.
CREATE MODEL gold.penguin_mass
PREDICT body_mass_g
USING linear_regression
AS SELECT species, island, culmen_length_mm, culmen_depth_mm, flipper_length_mm, sex, body_mass_g
   FROM silver.penguins
   WHERE body_mass_g IS NOT NULL;

SELECT split, n_rows,
       round(mean_absolute_error, 6) AS mae,
       round(mean_squared_error, 6) AS mse,
       round(mean_squared_log_error, 8) AS msle,
       round(median_absolute_error, 6) AS median_ae,
       round(r2_score, 6) AS r2
FROM ml.evaluate('gold.penguin_mass');

SELECT term, category, round(estimate, 7) AS estimate, round(std_error, 4) AS std_error
FROM ml.weights('gold.penguin_mass')
ORDER BY term, category;

CREATE TABLE gold.newcomers (
  id integer NOT NULL, species text, island text, culmen_length_mm double precision,
  culmen_depth_mm double precision, flipper_length_mm double precision, sex text
);

INSERT INTO gold.newcomers VALUES
  (1, 'Gentoo', 'Biscoe', 45.2, 16.4, 223, 'MALE'),
  (2, 'Gentoo', 'Biscoe', 46.5, 14.5, 213, 'FEMALE'),
  (3, 'Adelie', 'Biscoe', 37.7, 16.0, 183, 'FEMALE'),
  (4, 'Gentoo', 'Biscoe', 46.2, 14.4, 214, NULL);

SELECT id, species, sex, round(predicted_body_mass_g, 6) AS predicted_body_mass_g
FROM ml.predict('gold.penguin_mass', TABLE gold.newcomers)
ORDER BY id;
