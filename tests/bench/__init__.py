"""`make bench`: what crowds and one greedy user cost, as ratios against a peer in the same run."""
