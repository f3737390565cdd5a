"""Groups of similar pictures: k-medoids, elbow, sheets, one folder for each group."""
