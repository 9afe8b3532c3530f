#include "datasets/preprocessing.h"
