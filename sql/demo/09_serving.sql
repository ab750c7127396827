-- Serving: predictions are expressions, so a view holds them and any client reads them.
CREATE VIEW gold.expected_mass AS
SELECT species, sample_number, island, sex, body_mass_g,
       round(predict('gold.penguin_mass', p.*), 1) AS expected_g
FROM silver.penguins AS p;

-- The two penguins that nobody weighed.
SELECT species, sample_number, sex, expected_g
FROM gold.expected_mass
WHERE body_mass_g IS NULL
ORDER BY species, sample_number;

-- The error by island: a metric is an aggregate like any other.
SELECT island, count(*) AS penguins,
       round(mae(body_mass_g, expected_g), 1) AS mae,
       round(r2(body_mass_g, expected_g), 3) AS r2
FROM gold.expected_mass
WHERE body_mass_g IS NOT NULL
GROUP BY island
ORDER BY island;

-- Which of the newcomers are heavier than five kilograms?
SELECT id, species FROM gold.newcomers AS n WHERE predict('gold.penguin_mass', n.*) > 5000;

SHOW MODELS;

SELECT model, version, algorithm, n_rows FROM ml.model_versions ORDER BY model;
