"""What the calls say: the text catalogue, its recordings and how they are made. It plays nothing."""
