"""Who a request comes from, what they may do, and what every request passes. It serves nothing."""
