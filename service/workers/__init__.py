"""Workers: the processes that run jobs, as they tell of themselves."""
