"""Somebody's shop: an ordinary Dramatiq application that has never heard of perfkit."""
