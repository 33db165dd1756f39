"""How visible a change is: colour differences, structural similarity, what eyes cannot see. Pure tensor maths."""
