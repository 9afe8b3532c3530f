#include "datasets/store_hdf5.h"
