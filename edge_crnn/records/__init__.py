"""Results of measurements as JSON: one module for each kind of record; `record` reads and writes all of them."""
