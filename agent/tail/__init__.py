"""From files to chunks of records: which files, followed how, read up to where, settled how far."""
