"""The pictures of docs/PROGRAMS.md, drawn out of figures that programs on a server give."""
