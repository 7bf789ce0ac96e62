"""The labels of images, as people store them: in file names, and in tables of several formats."""
