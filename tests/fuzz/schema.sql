-- What sqlsmith's statements are about: every type, NULLs, several files, a view, a model and a feature table.
CREATE TABLE numbers (id integer NOT NULL, small smallint, big bigint, price numeric(10, 2), ratio double precision, f real);
INSERT INTO numbers
  SELECT n, n % 100, n::bigint * 1000000007, n / 7.0, CASE WHEN n % 5 <> 0 THEN n / 3.0 END, n / 9.0
  FROM generate_series(1, 500) AS g(n);
INSERT INTO numbers VALUES (501, NULL, NULL, NULL, 'NaN'::float8, 'Infinity'::real), (502, 32767, 9223372036854775807, 99999999.99, '-1e300'::float8, '-0'::real);
CREATE TABLE words (id bigint, word text, code varchar(8), raw bytea, ok boolean);
INSERT INTO words SELECT n, repeat('wörd ', n % 4), 'c' || n, NULL, n % 3 = 0 FROM generate_series(1, 200) AS g(n);
INSERT INTO words VALUES (NULL, NULL, NULL, '\x00ff', NULL), (201, '', '''"\', '\x', true);
CREATE TABLE times (day date, at timestamp, atz timestamptz);
INSERT INTO times
  SELECT CAST(date '2024-02-28' + CAST(n || ' days' AS interval) AS date), timestamp '2024-02-28 23:59:59.999999' + CAST(n || ' days' AS interval), timestamptz '2024-02-28 12:00+00' + CAST(n || ' hours' AS interval)
  FROM generate_series(1, 50) AS g(n);
INSERT INTO times VALUES (NULL, NULL, NULL), ('0001-01-01', '0001-01-01', '0001-01-01 00:00:00+00'), ('9999-12-31', '9999-12-31 23:59:59', '9999-12-31 00:00:00+00');
CREATE TABLE empty (id integer, word text);
CREATE VIEW joined AS SELECT n.id, n.price, w.word, w.ok FROM numbers AS n LEFT JOIN words AS w ON w.id = n.id;
CREATE MODEL price_of PREDICT price USING linear_regression AS SELECT id, small, price FROM numbers WHERE small IS NOT NULL;
