"""What runs on a camera, and the library that receives from it."""
