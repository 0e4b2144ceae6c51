"""Scripts that tests start as processes of their own are no tests."""

collect_ignore = ["rank.py", "steps.py"]
