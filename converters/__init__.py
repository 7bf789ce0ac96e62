"""Converters: a trained Keras CRNN → graph → artifact → verified artifact. For the workstation; imports no engine by itself."""
