import tseslint from 'typescript-eslint';

export default tseslint.config(
	{ ignores: ['dist/', 'node_modules/'] },
	...tseslint.configs.strictTypeChecked,
	{
		languageOptions: {
			parserOptions: {
				projectService: { allowDefaultProject: ['*.js', '*.cjs'] },
				tsconfigRootDir: import.meta.dirname
			}
		},
		rules: {
			// Numbers in a template are what they look like.
			'@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
			'@typescript-eslint/consistent-type-imports': 'error',
			'no-restricted-properties': [
				'error',
				{ property: 'innerHTML', message: 'Text from outside never becomes HTML.' },
				{ property: 'outerHTML', message: 'Text from outside never becomes HTML.' },
				{ property: 'insertAdjacentHTML', message: 'Text from outside never becomes HTML.' }
			]
		}
	},
	// What stands in these ways has to be tried by them.
	{ files: ['test/guard/*.ts'], rules: { 'no-restricted-properties': 'off' } },
	{ files: ['*.js', '*.cjs'], extends: [tseslint.configs.disableTypeChecked] }
);
