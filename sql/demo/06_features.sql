-- A feature table has a key. Writing a key again replaces its row, and the replaced row stays in the history.
CREATE FEATURE TABLE gold.island_features (
  island text,
  season date,
  penguins bigint,
  mean_mass_g double precision,
  PRIMARY KEY (island),
  TIMESTAMP KEY (season)
);

INSERT INTO gold.island_features
SELECT island, date_trunc('year', seen)::date, count(*), round(avg(body_mass_g), 1)
FROM silver.penguins
GROUP BY island, date_trunc('year', seen)::date;

-- A late count for Dream: one row is replaced, one is new.
INSERT INTO gold.island_features VALUES
  ('Dream', DATE '2009-01-01', 45, 3700.0),
  ('Dream', DATE '2010-01-01', 12, 3650.0);

SELECT island, season, penguins, mean_mass_g
FROM gold.island_features
WHERE island = 'Dream'
ORDER BY season;

-- What was known before.
SELECT island, season, penguins, mean_mass_g
FROM gold.island_features VERSION AS OF 1
WHERE island = 'Dream'
ORDER BY season;
