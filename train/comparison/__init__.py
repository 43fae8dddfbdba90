"""Arms of training against one another: their clips, who wins, people as judges, the page."""
