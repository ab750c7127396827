-- Time travel: every version of a table stays readable.
SELECT count(*) AS rows_then FROM silver.penguins VERSION AS OF 0;

-- The corrected penguin before and after MERGE.
SELECT before.sex AS sex_before, after.sex AS sex_after
FROM silver.penguins@v1 AS before
JOIN silver.penguins AS after ON after.species = before.species AND after.sample_number = before.sample_number
WHERE before.sex IS DISTINCT FROM after.sex;

DESCRIBE HISTORY silver.penguins;
