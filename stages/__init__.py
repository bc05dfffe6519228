"""One file per DVC stage; `engine` is what all tasks share, `tasks` has a room for each of them."""
