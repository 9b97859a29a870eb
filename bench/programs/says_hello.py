"""The least that a program can say."""

print("hello")
