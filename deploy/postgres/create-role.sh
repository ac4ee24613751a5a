#!/bin/sh
# Run once, when the volume is new: the application owns its database and is no superuser.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$PERDURE_DB_PASSWORD" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE perdure LOGIN PASSWORD :'password';
CREATE DATABASE perdure OWNER perdure;
SQL
