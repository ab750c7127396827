CREATE TABLE nests (id integer NOT NULL, species text, eggs integer, CONSTRAINT some_eggs CHECK (eggs > 0));
INSERT INTO nests VALUES (1, 'Adelie', 2), (2, 'Gentoo', 1), (3, NULL, NULL);
UPDATE nests SET eggs = eggs + 1 WHERE species = 'Gentoo';
MERGE INTO nests n USING (VALUES (3, 'Chinstrap'), (4, 'Adelie')) AS s(id, species) ON n.id = s.id WHEN MATCHED THEN UPDATE SET species = s.species WHEN NOT MATCHED THEN INSERT (id, species) VALUES (s.id, s.species);
SELECT * FROM nests ORDER BY id;
BEGIN;
DELETE FROM nests WHERE id > 2;
SELECT count(*) FROM nests;
ROLLBACK;
SELECT species, count(*), sum(eggs) AS eggs FROM nests GROUP BY species ORDER BY species;
INSERT INTO nests VALUES (5, 'Adelie', 0);
SELECT speces FROM nests;
SELECT * FROM nests WHER id = 1;
BEGIN;
SELECT 1 / 0;
SELECT 1;
COMMIT;
\copy nests FROM stdin WITH (FORMAT csv)
6,Gentoo,2
7,"Adelie, young",
\.
COPY (SELECT * FROM nests WHERE id > 4 ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER);
COPY nests FROM STDIN;
8	Gentoo	\N
\.
SELECT id, eggs IS NULL AS unknown FROM nests ORDER BY id DESC LIMIT 2;
SELECT max(id) AS id FROM nests \gset last_
\echo :last_id
SELECT 'one' AS a; SELECT 'two' AS b;
\x on
SELECT * FROM nests WHERE id = 1;
\x off
DROP TABLE nests;
SELECT * FROM nests;
