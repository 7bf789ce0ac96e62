"""The labels of images: in file names, and in tables of several formats."""
