#!/bin/sh
# Run once, when the volume is new: the application owns its database and is no superuser.
# psql reads the password itself: as an argument it would show in every process list.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres <<'SQL'
\set password `cat "$PERDURE_DB_PASSWORD_FILE"`
CREATE ROLE perdure LOGIN PASSWORD :'password';
CREATE DATABASE perdure OWNER perdure;
SQL
