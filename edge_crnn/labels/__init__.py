"""What is written on images, in the ways in which people keep it: in file names, and in tables of several formats."""
