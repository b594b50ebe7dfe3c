"""The PostgreSQL server that we bring: started, watched and stopped here. It speaks no SQL."""
