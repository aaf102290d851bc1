"""What is classified: CIFAR-10, image folders, digits; fixed splits; fingerprints."""
