-- A transaction over two tables: both change, or none does.
CREATE TABLE gold.census (island text, penguins bigint);

CREATE TABLE gold.census_log (entry text, islands bigint);

BEGIN;

INSERT INTO gold.census SELECT island, sum(penguins) FROM gold.islands GROUP BY island;

INSERT INTO gold.census_log SELECT 'counted', count(*) FROM gold.census;

COMMIT;

-- This one is taken back: its own statements see it, and nobody else ever does.
BEGIN;

DELETE FROM gold.census WHERE island = 'Torgersen';

INSERT INTO gold.census_log SELECT 'after the storm', count(*) FROM gold.census;

SELECT entry, islands FROM gold.census_log ORDER BY islands DESC;

ROLLBACK;

SELECT island, penguins FROM gold.census ORDER BY island;

SELECT entry, islands FROM gold.census_log;
