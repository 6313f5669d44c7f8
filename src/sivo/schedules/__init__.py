"""Opening hours: what is open when, by the wall clock of a place, with its holidays and its exceptions."""
