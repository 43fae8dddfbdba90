"""What the browser sees: questions, order of asking, session, player, pages. No torch."""
