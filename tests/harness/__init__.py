"""What the end-to-end tests share: the process under test, load, and readers that are not ours."""
