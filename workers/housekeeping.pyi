class Housekeeping:
    active_expire: bool
