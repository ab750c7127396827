\set QUIET on
SET client_min_messages = warning;
CREATE SCHEMA nest;
CREATE TABLE nest.birds (id integer NOT NULL, species varchar(20), mass numeric(8,2), seen timestamptz, tags text[]);
CREATE VIEW nest.heavy AS SELECT id, species FROM nest.birds WHERE mass > 4000;
CREATE TABLE eggs (id bigint NOT NULL, laid date);
\dt nest.*
\dv nest.*
\d nest.birds
\d nest.heavy
\dt
\d eggs
\d no_such_table
DROP SCHEMA nest CASCADE;
DROP TABLE eggs;
