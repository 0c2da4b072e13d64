"""Who is in which room, in every process: keys that handlers have tracked clients with."""
