"""Training of the features' ResNet-18 on FER+, from the user's own copy of the data."""
