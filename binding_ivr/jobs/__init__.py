"""What any one node does now and then for all: ageing, retention, upkeep of what the web keeps."""
