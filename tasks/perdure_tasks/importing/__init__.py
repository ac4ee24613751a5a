"""The parts of ``tables.import_csv``: records with offsets, typed values, the target, its marker, the reject file."""
