"""A trained Keras CRNN → graph → artifact → verified artifact. For the workstation; the device needs none of it."""
