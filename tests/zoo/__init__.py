"""Public Keras CRNN text recognisers, rebuilt in small: the networks that the converter has to take.

`cases.CASES` is the table: where each network comes from, what is special about it, the file that its project saves,
and what a user has to state because the file cannot. `reference.write` builds one, gives it seeded weights and saves
it; `reference.predict` is what Keras itself computes from the saved file.

Topology, axis order, strides, padding, merging order, activations and the names of distinctive layers follow the
repositories named; channels and units are fewer, and most images are smaller. No code is copied. Everything is built
without trained weights and without network access.
"""
