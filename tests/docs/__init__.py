"""What is written for people is true: the examples, the README and the pages of docs/."""
