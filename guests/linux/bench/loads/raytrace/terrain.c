/* Writes the heights of a terrain, 257 x 257 bytes: noise of several sizes, smoothly joined, in whole numbers. */
#include <stdio.h>

#define SIDE	257

/* A fixed random number of 0 to 255 for a corner. */
static unsigned int corner(unsigned int x, unsigned int y, unsigned int size)
{
	unsigned int number = x * 374761393 + y * 668265263 + size * 2246822519u;

	number = (number ^ number >> 13) * 1274126177;
	return (number ^ number >> 16) & 0xff;
}

/* Between `from` and `to`: at `part` of `size`. */
static unsigned int between(unsigned int from, unsigned int to, unsigned int part, unsigned int size)
{
	return (from * (size - part) + to * part) / size;
}

/* Noise whose corners are `size` apart. */
static unsigned int noise(unsigned int x, unsigned int y, unsigned int size)
{
	unsigned int column = x / size, row = y / size;
	unsigned int upper = between(corner(column, row, size), corner(column + 1, row, size), x % size, size);
	unsigned int lower = between(corner(column, row + 1, size), corner(column + 1, row + 1, size), x % size, size);

	return between(upper, lower, y % size, size);
}

int main(void)
{
	for (unsigned int y = 0; y < SIDE; y++)
		for (unsigned int x = 0; x < SIDE; x++) {
			unsigned int height = 0, share = 128;

			for (unsigned int size = 64; size > 1; size /= 2, share /= 2)
				height += noise(x, y, size) * share;
			putchar(height / 256);
		}
	return 0;
}
