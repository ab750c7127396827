-- A boosted classifier of species, measured on rows that it has not seen.
CREATE MODEL gold.penguin_species
PREDICT species
USING gradient_boosting
WITH (split = 'stratified', test_fraction = 0.25, rounds = 50, max_depth = 3, seed = 42)
AS SELECT species, island, culmen_length_mm, culmen_depth_mm, flipper_length_mm, body_mass_g, sex
   FROM silver.penguins;

SELECT split, n_rows, round(accuracy, 4) AS accuracy, round(f1_score, 4) AS f1, round(log_loss, 4) AS log_loss
FROM ml.evaluate('gold.penguin_species')
ORDER BY split;

SELECT actual, predicted, n
FROM ml.confusion_matrix('gold.penguin_species')
WHERE split = 'test' AND n > 0
ORDER BY actual, predicted;
