# What the small network reaches on the large image.
_base_ = '../shufflenet-v2-1x_120e_aircraft.py'
