"""Pages for people. They are given what they show, and do not know where it comes from."""
