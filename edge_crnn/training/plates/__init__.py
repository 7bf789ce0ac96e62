"""The number plates that are on the road in Korea: their forms in millimetres, and images of them."""
