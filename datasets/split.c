#include "datasets/split.h"
